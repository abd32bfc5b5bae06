export function total(items) {
  return items.reduce((sum, item) => sum + item.price, 0);
}

const discount = (price, share) => {
  return price * (1 - share);
};

class Cart {
  #items = [];
  add(item) {
    this.#items.push(item);
  }
  static empty = () => new Cart();
}

module.exports.parse = function (text) {
  return JSON.parse(text);
};

function* ids() {
  yield 1;
}
