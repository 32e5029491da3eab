"""Reading media files: containers, video frames, audio samples, and subtitles."""
