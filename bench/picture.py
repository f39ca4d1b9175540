def of(x):
    return ""
