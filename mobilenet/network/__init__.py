"""The network: its architecture, the forms of its graph, and its weights.

Door: `architecture.MobileNetV2`, `graph_forms.training_block`, `graph_forms.inference_block`,
`weights.read_parameters`, `weights.fit`, `complexity.complexity`. Must not know the configuration,
data or runs.
"""
