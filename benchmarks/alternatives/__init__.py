"""Alternatives to Chainrule, each as users of its libraries would write it, and floors, which do only the minimal work.

They answer POST /v1/gradients for dense layers of four activations and the half squared error, with the fields of
Chainrule's answer; nothing else of the contract.
"""
