static int dayOfWeek(int year, int month, int day) {
    int[] shifts = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4};
    int y = month < 3 ? year - 1 : year;
    int sunday = (y + y / 4 - y / 100 + y / 400 + shifts[month - 1] + day) % 7;
    return (sunday + 6) % 7;
}
