def is_palindrome(text):
    kept = [char.lower() for char in text if char.isalpha()]
    return kept == kept[::-1]
