"""The style sheet of the report: narrow and wide screens, light and dark, and print."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #fff; --edge: #e1e4e9; --text: #1b1f24; --faint: #5c6673;
  --accent: #2f6fde; --wrong: #cf3f32; --track: #e7eaef;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12151a; --card: #1a1f26; --edge: #2c333d; --text: #e7eaee; --faint: #9aa5b3;
    --accent: #6aa3ff; --wrong: #ff8073; --track: #2b323c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 1180px; padding: 32px 20px 64px; background: var(--page);
  color: var(--text); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  font-variant-numeric: tabular-nums;
}
h1 { margin: 0; font-size: 26px; line-height: 1.25; overflow-wrap: anywhere; }
header { color: var(--faint); font-size: 13px; }
h2 { margin: 44px 0 4px; font-size: 19px; }
p { margin: 4px 0 16px; color: var(--faint); max-width: 75ch; }
.facts { display: flex; flex-wrap: wrap; gap: 2px 22px; margin: 10px 0 22px; }
.facts div { display: flex; gap: 6px; min-width: 0; }
.facts dt { color: var(--faint); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.tiles, .charts, .pairs, .gallery { display: grid; gap: 14px; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(158px, 1fr)); }
.charts { grid-template-columns: repeat(auto-fit, minmax(min(320px, 100%), 1fr)); }
.pairs { grid-template-columns: repeat(auto-fill, minmax(min(330px, 100%), 1fr)); }
.gallery { grid-template-columns: repeat(auto-fill, minmax(165px, 1fr)); }
.card {
  padding: 14px; background: var(--card); border: 1px solid var(--edge); border-radius: 10px;
}
.tiles b { display: block; font-size: 27px; line-height: 1.2; letter-spacing: -.02em; }
.tiles span, .card small { color: var(--faint); font-size: 13px; }
.tiles .main b { color: var(--accent); }
.charts h3 { margin: 0 0 2px; font-size: 15px; }
.charts p { margin: 0 0 10px; font-size: 13px; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--faint); font-size: 11px; }
svg .grid { stroke: var(--edge); }
svg .axis { stroke: var(--faint); }
svg .ideal { stroke: var(--faint); stroke-dasharray: 4 4; }
svg .bar { fill: var(--accent); opacity: .75; }
svg .gap { fill: var(--wrong); }
svg .count { fill: var(--faint); opacity: .55; }
svg .curve { fill: none; stroke: var(--accent); stroke-width: 2; stroke-linejoin: round; }
svg .band { fill: var(--accent); opacity: .2; }
svg .curve.second { stroke: var(--faint); stroke-dasharray: 5 3; }
svg circle { fill: var(--accent); }
svg circle.second { fill: var(--faint); }
.table { overflow-x: auto; padding: 0; }
table { width: 100%; border-collapse: collapse; }
td { overflow-wrap: anywhere; }
th, td { padding: 7px 14px; text-align: left; border-bottom: 1px solid var(--edge); }
tr:last-child td { border-bottom: 0; }
th { color: var(--faint); font-size: 13px; font-weight: 600; white-space: nowrap; }
.number { text-align: right; white-space: nowrap; overflow-wrap: normal; }
.share { min-width: 90px; width: 22%; }
meter { display: block; width: 100%; height: 8px; appearance: none; border: 0; border-radius: 4px;
  overflow: hidden; background: var(--track); }
meter::-webkit-meter-bar { background: var(--track); border: 0; height: 8px; }
meter::-webkit-meter-optimum-value { background: var(--accent); }
meter::-moz-meter-bar { background: var(--accent); }
tr:last-child th[scope=row] { border-bottom: 0; }
tfoot td { font-weight: 600; }
th[scope=row] { color: var(--text); font-size: inherit; font-weight: 400; white-space: normal;
  overflow-wrap: anywhere; }
.matrix { overflow-x: auto; padding: 6px; }
.matrix table { width: auto; }
.matrix th, .matrix td { padding: 4px 7px; min-width: 34px; text-align: center; border: 0; }
.matrix th[scope=row] { position: sticky; left: 0; width: 240px; min-width: 110px;
  max-width: 240px; text-align: left;
  background: var(--card); }
.matrix thead th { vertical-align: bottom; }
.matrix thead th:first-child { text-align: left; }
.upright span { display: inline-block; max-height: 150px; overflow: hidden;
  writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; white-space: nowrap;
  text-overflow: ellipsis; }
.matrix td { --shade: var(--wrong); background-image: linear-gradient(color-mix(in srgb,
  var(--shade) calc(var(--share) * 40%), transparent) 0 100%); }
.matrix .right-answer { --shade: var(--accent); font-weight: 700; }
.matrix td { overflow-wrap: normal; white-space: nowrap; }
.matrix .none { color: var(--faint); }
.pairs strong { overflow-wrap: anywhere; }
.images { display: flex; gap: 6px; margin-top: 10px; }
.images img { flex: 1 1 0; min-width: 0; max-width: 96px; aspect-ratio: 1; }
img { display: block; object-fit: cover; border-radius: 6px; background: var(--track); }
figure.card { margin: 0; padding: 0 0 10px; overflow: hidden; }
figure img { width: 100%; aspect-ratio: 1; border-radius: 0; }
figcaption { padding: 8px 10px 0; font-size: 13px; line-height: 1.4; overflow-wrap: anywhere; }
.taken { color: var(--wrong); }
details { margin-top: 14px; }
summary { cursor: pointer; color: var(--accent); padding: 4px 0 10px; }
footer { margin-top: 48px; color: var(--faint); font-size: 13px; }
@media (max-width: 520px) {
  body { padding: 20px 12px 40px; }
  h1 { font-size: 21px; }
  .tiles { grid-template-columns: repeat(2, 1fr); }
  .tiles b { font-size: 23px; }
  .gallery { grid-template-columns: repeat(2, 1fr); }
  .share, .right { display: none; }
  table { font-size: 14px; }
  th, td { padding: 7px 8px; white-space: normal; }
}
@media print { body { max-width: none; background: none; } .card { break-inside: avoid; } }
"""
