"""Actions of a user on the page, in a browser."""


def upload(page, video, name="a video.mp4", content=None):
    """Upload a video file, or other content under its name."""
    buffer = video.read_bytes() if content is None else content
    page.set_input_files("#file", files=[dict(name=name, mimeType="video/mp4", buffer=buffer)])


def upload_and_wait(page, video, **options):
    """Upload a video and wait until the player shows it."""
    upload(page, video, **options)
    page.wait_for_selector("#source-video")
    return page


def submit_queries(page, *queries):
    """Submit a request and wait until its answer is shown."""
    page.fill("#queries textarea", "\n".join(queries))
    page.click("#submit")
    page.wait_for_selector(f".moments .query:has-text('{queries[0]}')" if queries else ".answer")
    return page


def wait_for_cut(page):
    """Wait until the cut can be played."""
    page.wait_for_selector("#cut video")
    page.wait_for_function("document.querySelector('#cut video').readyState >= 1")
    return page


def playback_time(page, section="#source-video"):
    """Pause the video of a section and return its current time in seconds."""
    page.wait_for_function(f"!document.querySelector('{section} video').seeking")
    page.evaluate(f"document.querySelector('{section} video').pause()")
    return page.evaluate(f"document.querySelector('{section} video').currentTime")


def session_token(page):
    """Return the token of the page's session."""
    return page.get_attribute("#source-video", "data-token")
