module vegurtx.benchmarks/goproxy

go 1.19
