# 100 epochs with Adam, validated after each.
stages = dict(
    epochs=100,
    optimizer=dict(type="Adam", lr=1e-3, weight_decay=1e-4, fused=True),
    validation=dict(interval=1))
