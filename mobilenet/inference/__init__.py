"""Opens models of every kind for inference, in float32 or int8, and predicts images.

Door: `open_model.open_model`, `loaded_model.LoadedModel`, `predict.predict`, `grad_cam.grad_cam`,
`int8_model.in_int8`, `naive_engine.load_for_inference`. Must not know training.
"""
