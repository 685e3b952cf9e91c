"""Recipes that tell clients how to reach the router; each is a template in templates/clients/."""
