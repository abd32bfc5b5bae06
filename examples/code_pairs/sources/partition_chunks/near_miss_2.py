def shard(records, per_shard):
    shards = []
    for offset in range(0, len(records), per_shard):
        shards.append(records[offset : offset + per_shard])
    if len(shards) > 1 and len(shards[-1]) * 2 < per_shard:
        leftover = shards.pop()
        shards[-1] = leftover + shards[-1]
    return shards
