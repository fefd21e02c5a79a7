"""A page of Gradio's, which keeps a stream of heartbeats open."""

import fastapi
import gradio

app = gradio.mount_gradio_app(fastapi.FastAPI(), gradio.Interface(str, "text", "text"), path="/")
