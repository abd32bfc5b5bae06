def monthly_instalment(borrowed, annual_interest, term):
    per_month = annual_interest / 100 / 12
    if per_month == 0:
        return round(borrowed / term)
    compound = (1 + per_month) ** term
    return round(borrowed * per_month * compound / (compound - 1))
