def wrap_words(text, width):
    words = text.split()
    start = 0
    result = []
    while start < len(words):
        end = start + 1
        used = len(words[start])
        while end < len(words) and used + 1 + len(words[end]) <= width:
            used += 1 + len(words[end])
            end += 1
        result.append(" ".join(words[start:end]))
        start = end
    return result
