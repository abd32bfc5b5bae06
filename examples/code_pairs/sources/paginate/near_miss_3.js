function paginate(items, page, size) {
  const pages = Math.max(1, Math.ceil(items.length / size));
  const current = Math.min(Math.max(page, 1), pages);
  const first = (current - 1) * size;
  return {
    items: items.slice(first, first + size),
    page: current,
    pages,
    previous: current > 2 ? current - 1 : null,
    next: current < pages ? current + 1 : null,
  };
}
