static List<Integer> spiralOrder(int[][] grid) {
    List<Integer> order = new ArrayList<>();
    if (grid.length == 0) {
        return order;
    }
    boolean[][] seen = new boolean[grid.length][grid[0].length];
    int[] dy = {0, 1, 0, -1};
    int[] dx = {1, 0, -1, 0};
    int y = 0, x = 0, direction = 0;
    int total = grid.length * grid[0].length;
    while (order.size() < total) {
        order.add(grid[y][x]);
        seen[y][x] = true;
        int ny = y + dy[direction], nx = x + dx[direction];
        boolean blocked = ny < 0 || ny >= grid.length || nx < 0 || nx >= grid[0].length || seen[ny][nx];
        if (blocked) {
            direction = (direction + 1) % 4;
        }
        y += dy[direction];
        x += dx[direction];
    }
    return order;
}
