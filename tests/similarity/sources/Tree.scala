object Tree {
  def leaf(value: Int): Node = {
    new Node(value)
  }
}

trait Visitor {
  def visit(node: Node): Unit
}

class Node(value: Int) {
  def double = value * 2
}
