function rotateGrid(grid) {
  return grid[0].map((_, column) =>
    grid.map((row) => row[row.length - 1 - column]),
  );
}
