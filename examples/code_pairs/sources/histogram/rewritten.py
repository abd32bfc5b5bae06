from bisect import bisect_right


def histogram(values, low, high, bins):
    edges = [low + (high - low) * i / bins for i in range(1, bins)]
    inside = [value for value in values if low <= value <= high]
    places = [bisect_right(edges, value) for value in inside]
    return [places.count(place) for place in range(bins)]
