TEMPLATES = {"default": None, "qwen": None, "qwen3": None, "llama3": None, "chatglm3": None}
