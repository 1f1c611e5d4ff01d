def static(proof): return True
def live(proof, url): return True
