def savings_plan(capital, interest, saved_per_year, duration):
    history = []
    account = capital
    for _ in range(duration):
        account += int(capital * interest / 100)
        account += saved_per_year
        history.append(account)
    return history
