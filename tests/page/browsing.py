"""What people do on the page, in a browser."""


def upload(page, film, name="a film.mp4", content=None):
    page.set_input_files("#file", files=[dict(name=name, mimeType="video/mp4", buffer=film.read_bytes() if content is None else content)])


def watched(page, film, **keys):
    upload(page, film, **keys)
    page.wait_for_selector("#whole")
    return page


def asked(page, *sentences):
    page.fill("#sentences textarea", "\n".join(sentences))
    page.click("#go")
    page.wait_for_selector(f".moments .what:has-text('{sentences[0]}')" if sentences else ".answer")
    return page


def with_cut(page):
    page.wait_for_selector("#cut video")
    page.wait_for_function("document.querySelector('#cut video').readyState >= 1")
    return page


def time_of(page, where="#whole"):
    page.wait_for_function(f"!document.querySelector('{where} video').seeking")
    page.evaluate(f"document.querySelector('{where} video').pause()")
    return page.evaluate(f"document.querySelector('{where} video').currentTime")


def token_of(page):
    return page.get_attribute("#whole", "data-token")
