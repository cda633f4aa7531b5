module vegurtx.benchmarks/paced

go 1.19
