def hide_account(iban):
    digit_count = sum(symbol.isdigit() for symbol in iban)
    passed = 0
    visible = []
    for symbol in iban:
        if symbol.isdigit():
            passed += 1
            visible.append("*" if passed <= digit_count - 4 else symbol)
        else:
            visible.append(symbol)
    return "".join(visible)
