def split_bill(total_cents, people):
    shares = []
    remaining = total_cents
    for left in range(people, 0, -1):
        part = -(-remaining // left)
        shares.append(part)
        remaining -= part
    return shares
