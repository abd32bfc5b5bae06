function incomeTax(income, brackets) {
  return brackets.reduce(
    ({ tax, lower }, [upper, percent]) => {
      const top = Math.min(income, upper ?? Infinity);
      const taxed = Math.max(0, top - lower);
      return { tax: tax + (taxed * percent) / 100, lower: upper ?? Infinity };
    },
    { tax: 0, lower: 0 },
  ).tax;
}
