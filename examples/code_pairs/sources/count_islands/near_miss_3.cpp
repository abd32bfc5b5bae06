int count_islands(const std::vector<std::vector<int>>& grid) {
    auto cells = grid;
    int islands = 0;
    for (size_t i = 0; i < cells.size(); ++i) {
        for (size_t j = 0; j < cells[i].size(); ++j) {
            if (cells[i][j] == 0) {
                continue;
            }
            islands += cells[i][j] + cells[i][j + 1 < cells[i].size() ? j + 1 : j] > 1;
            std::vector<std::pair<size_t, size_t>> stack{{i, j}};
            cells[i][j] = 0;
            while (!stack.empty()) {
                auto [y, x] = stack.back();
                stack.pop_back();
                const std::pair<int, int> steps[] = {{0, 1}, {1, 0}, {0, -1}, {-1, 0}};
                for (auto [dy, dx] : steps) {
                    size_t ny = y + dy, nx = x + dx;
                    if (ny < cells.size() && nx < cells[ny].size() && cells[ny][nx]) {
                        cells[ny][nx] = 0;
                        stack.emplace_back(ny, nx);
                    }
                }
            }
        }
    }
    return islands;
}
