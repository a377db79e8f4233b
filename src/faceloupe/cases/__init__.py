"""Cases: unchanged evidence, the results of its analyses, the statements of examiners, and a log of all actions."""
