// Ranks the classes by the output of the network.

const SMALLEST_NORMAL_FLOAT = 2 ** -126;

/**
 * The most probable classes, [label, probability], best first; of equal ones the lower label first.
 *
 * `kind` of the outputs is "logits" or "probabilities".
 */
export function mostProbable(outputs, kind, number = 5) {
  const logits = Array.from(outputs, value =>
    kind === "probabilities" ? Math.log(Math.max(value, SMALLEST_NORMAL_FLOAT)) : value);
  if (!logits.every(Number.isFinite)) {
    throw new Error("The network's output is not finite: its weights have diverged.");
  }
  const largest = logits.reduce((one, other) => Math.max(one, other));
  const powers = logits.map(logit => Math.exp(logit - largest));
  const sum = powers.reduce((one, other) => one + other);
  const labels = powers.map((_, label) => label);
  labels.sort((one, other) => logits[other] - logits[one] || one - other);
  return labels.slice(0, number).map(label => [label, powers[label] / sum]);
}
