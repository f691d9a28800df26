package main

func viewersMain() {}
