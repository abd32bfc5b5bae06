std::vector<std::vector<int>> rotate_grid(const std::vector<std::vector<int>>& grid) {
    const size_t height = grid.size();
    const size_t width = grid.front().size();
    std::vector<std::vector<int>> turned(width, std::vector<int>(height));
    for (size_t x = 0; x < width; ++x) {
        for (size_t y = 0; y < height; ++y) {
            turned[x][y] = grid[height - y - 1][x];
        }
    }
    return turned;
}
