static int firstOverdraft(long opening, long[] transactions) {
    int index = 0;
    while (index < transactions.length) {
        opening += transactions[index];
        if (opening < 0) {
            return index;
        }
        index++;
    }
    return -1;
}
