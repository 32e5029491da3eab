"""Reading of media: containers, frames, audio and subtitles."""
