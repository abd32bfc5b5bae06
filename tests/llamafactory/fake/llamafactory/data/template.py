TEMPLATES = {}


def register_template(name, default_system=""):
    TEMPLATES[name] = default_system


register_template(name="default")
register_template(name="qwen", default_system="You are a helpful assistant.")
register_template(name="qwen3")
register_template("llama3")
register_template(name="chatglm3")
