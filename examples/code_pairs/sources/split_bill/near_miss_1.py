def split_bill(total_cents, people):
    share, extra = divmod(total_cents, people)
    shares = []
    for person in range(people):
        shares.append(share + 1 if person <= extra else share)
    return shares
