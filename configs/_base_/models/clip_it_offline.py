# CLIP-It for the embedded encoders: 1280 + 384 wide pictures, of which the last 384 are ConSE, 384 wide sentences.
model = dict(type="CLIPIt", video_dims=1664, text_dims=384, shared=384, dims=8, noise=0.125, keep=True)
