def reads_both_ways(phrase):
    start, end = 0, len(phrase) - 1
    while start < end:
        if not phrase[start].isalnum():
            start += 1
        elif not phrase[end].isalnum():
            end -= 1
        else:
            if phrase[start].lower() != phrase[end].lower():
                return False
            start += 1
            end -= 1
    return True
