def blob_count(pixels):
    visited = set()

    def fill(y, x):
        if not (0 <= y < len(pixels) and 0 <= x < len(pixels[0])):
            return
        if pixels[y][x] == 0 or (y, x) in visited:
            return
        visited.add((y, x))
        fill(y + 1, x)
        fill(y - 1, x)
        fill(y, x + 1)
        fill(y, x - 1)

    blobs = 0
    for y in range(len(pixels)):
        for x in range(len(pixels[y])):
            if pixels[y][x] and (y, x) not in visited:
                blobs += 1
                fill(y, x)
    return blobs
