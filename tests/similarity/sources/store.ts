export interface Item {
  name: string;
}

namespace Shop {
  export function label(item: Item): string {
    return `${item.name}`;
  }
}

export abstract class Store<T> {
  constructor(private readonly items: T[]) {}
  abstract size(): number;
  first(): T | undefined {
    return this.items[0];
  }
}

export const later = async <T>(value: T): Promise<T> => {
  return value;
};
