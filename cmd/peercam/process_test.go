package main

func viewersMain()  {}
func removeBinary() {}
