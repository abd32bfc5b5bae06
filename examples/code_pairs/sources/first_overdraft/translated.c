int first_overdraft(long opening, const long *transactions, int count)
{
    long balance = opening;

    for (int i = 0; i < count; i++) {
        balance += transactions[i];
        if (balance < 0)
            return i;
    }
    return -1;
}
