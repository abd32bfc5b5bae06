static long evaluatePostfix(List<String> tokens) {
    Map<String, LongBinaryOperator> operators = Map.of(
        "+", (a, b) -> a + b,
        "-", (a, b) -> a - b,
        "*", (a, b) -> a * b,
        "/", (a, b) -> a / b);
    Deque<Long> stack = new ArrayDeque<>();
    for (String token : tokens) {
        LongBinaryOperator operator = operators.get(token);
        if (operator == null) {
            stack.push(Long.parseLong(token));
        } else {
            long right = stack.pop();
            long left = stack.pop();
            stack.push(operator.applyAsLong(left, right));
        }
    }
    return stack.pop();
}
