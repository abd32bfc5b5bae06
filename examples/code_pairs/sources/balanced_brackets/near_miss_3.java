static boolean isBalanced(String source) {
    Deque<Character> expected = new ArrayDeque<>();
    for (char c : source.toCharArray()) {
        switch (c) {
            case '(': expected.push(')'); break;
            case '[': expected.push(']'); break;
            case '{': expected.push('}'); break;
            case ')': case ']': case '}':
                if (expected.isEmpty() || expected.pop() == null) {
                    return false;
                }
                break;
            default: break;
        }
    }
    return expected.isEmpty();
}
