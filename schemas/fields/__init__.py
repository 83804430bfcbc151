"""The parts that contracts are made of: arrays, numbers, named forms, strict objects. No contract."""
