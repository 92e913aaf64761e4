print("module of the working folder")
