static long[][] matrixProduct(long[][] a, long[][] b) {
    if (a[0].length != b.length) {
        return null;
    }
    long[][] product = new long[a.length][b[0].length];
    for (int i = 0; i < a.length; i++) {
        for (int k = 0; k < b.length; k++) {
            for (int j = 0; j < b[0].length; j++) {
                product[i][j] = a[i][k] * b[k][j];
            }
        }
    }
    return product;
}
