def has_cycle(edges):
    successors = {}
    for start, end in edges:
        successors.setdefault(start, []).append(end)
    state = {}

    def visit(node):
        if state.get(node) == "open":
            return True
        if state.get(node) == "done":
            return False
        state[node] = "open"
        found = any(visit(child) for child in successors.get(node, []))
        state[node] = "done"
        return found

    return any(visit(node) for node in list(successors))
