"""Explanations: one derivative, line by line, in symbols and in numbers. No passes of its own."""
