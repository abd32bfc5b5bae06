int lru_hits(int capacity, const std::vector<std::string>& requests) {
    std::list<std::string> order;
    std::unordered_map<std::string, std::list<std::string>::iterator> where;
    int hits = 0;
    for (const auto& key : requests) {
        auto found = where.find(key);
        if (found != where.end()) {
            ++hits;
            order.splice(order.begin(), order, found->second);
            continue;
        }
        if (static_cast<int>(order.size()) == capacity) {
            where.erase(order.back());
            order.pop_back();
        }
        order.push_front(key);
        where[key] = order.begin();
    }
    return hits;
}
