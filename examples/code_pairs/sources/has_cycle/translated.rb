def cycle?(edges)
  successors = Hash.new { |hash, key| hash[key] = [] }
  edges.each { |start, finish| successors[start] << finish }
  state = {}
  visit = lambda do |node|
    return true if state[node] == :open
    return false if state[node] == :done

    state[node] = :open
    found = successors.fetch(node, []).any? { |child| visit.call(child) }
    state[node] = :done
    found
  end
  successors.keys.any? { |node| visit.call(node) }
end
